package main

import (
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"time"
)

// The part of CycloneDX 1.6 that a Go binary needs
// (https://cyclonedx.org/docs/1.6/json/).
type bom struct {
	Schema      string      `json:"$schema"`
	Format      string      `json:"bomFormat"`
	SpecVersion string      `json:"specVersion"`
	Version     int         `json:"version"`
	Metadata    metadata    `json:"metadata"`
	Components  []component `json:"components"`
	DependsOn   []depends   `json:"dependencies"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Ref        string     `json:"bom-ref"`
	Type       string     `json:"type"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	Licences   []licensed `json:"licenses"`
	PURL       string     `json:"purl"`
	Properties []property `json:"properties,omitempty"`
}

type licensed struct {
	Licence struct {
		ID string `json:"id"`
	} `json:"license"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type depends struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn"`
}

// sbom writes what a binary says of its own parts. It is made of the binary and not of
// go.mod, which also lists what only tests, other systems and other tags need.
func sbom(w io.Writer, binary, version string, at time.Time) error {
	info, list, err := modules(binary)
	if err != nil {
		return err
	}
	program := part("application", "quern", version, "Apache-2.0")
	program.Properties = []property{{"file", filepath.Base(binary)}}
	for _, s := range info.Settings {
		switch {
		case s.Key == "-ldflags", s.Key == "-trimpath", s.Key == "-tags", s.Key == "CGO_ENABLED", strings.HasPrefix(s.Key, "GO"), strings.HasPrefix(s.Key, "vcs"):
			program.Properties = append(program.Properties, property{"go:" + s.Key, s.Value})
		}
	}
	b := bom{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Metadata: metadata{at.Format(time.RFC3339), program},
	}
	d := depends{Ref: program.Ref}
	for _, m := range list {
		c := part("library", m.path, m.version, m.licence)
		if m.sum != "" {
			c.Properties = []property{{"go:sum", m.sum}}
		}
		b.Components = append(b.Components, c)
		d.On = append(d.On, c.Ref)
	}
	b.DependsOn = []depends{d}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(b)
}

func part(kind, name, version, licence string) component {
	purl := "pkg:golang/" + name + "@" + version
	c := component{Ref: purl, Type: kind, Name: name, Version: version, PURL: purl, Licences: make([]licensed, 1)}
	c.Licences[0].Licence.ID = licence
	return c
}
