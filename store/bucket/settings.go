package bucket

import (
	"cmp"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"gopkg.in/ini.v1"

	"quern/internal/invalid"
)

// Settings are what the environment and the files of a profile say, by the names that
// AWS tools read.
type Settings struct {
	Endpoint    *url.URL // AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, endpoint_url of the profile; else Amazon's
	Region      string   // AWS_REGION, AWS_DEFAULT_REGION, region of the profile; "" is asked for
	Lookup      minio.BucketLookupType
	credentials *credentials.Credentials
}

// amazon is the endpoint that stands for all of Amazon's regions.
const amazon = "https://s3.amazonaws.com"

// FromEnv reads the settings. Nothing is asked of a network yet.
func FromEnv() (Settings, error) { return settings(os.Getenv) }

func settings(env func(string) string) (Settings, error) {
	p, err := profile(env)
	if err != nil {
		return Settings{}, err
	}
	s := Settings{
		Region:      cmp.Or(env("AWS_REGION"), env("AWS_DEFAULT_REGION"), p["region"]),
		credentials: provider(env, p),
	}
	endpoint := cmp.Or(env("AWS_ENDPOINT_URL_S3"), env("AWS_ENDPOINT_URL"), p["endpoint_url"], amazon)
	if s.Endpoint, err = url.Parse(endpoint); err != nil || s.Endpoint.Host == "" || s.Endpoint.Scheme != "https" && s.Endpoint.Scheme != "http" || strings.Trim(s.Endpoint.Path, "/") != "" || s.Endpoint.User != nil {
		return Settings{}, invalid.Errorf("AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or endpoint_url of the profile is no URL of the form https://HOST")
	}
	// The profile nests these: s3 =\n  addressing_style = path.
	switch style := p["addressing_style"]; {
	case style == "path":
		s.Lookup = minio.BucketLookupPath
	case style == "virtual":
		s.Lookup = minio.BucketLookupDNS
	case endpoint != amazon && !strings.HasSuffix(s.Endpoint.Hostname(), ".amazonaws.com"):
		s.Lookup = minio.BucketLookupPath // what other stores take by default
	}
	return s, nil
}

// provider says where credentials come from: the first that is set, in the order of
// Amazon's tools. One that is set and fails is an error, not a reason to take the next.
func provider(env func(string) string, p map[string]string) *credentials.Credentials {
	if id := env("AWS_ACCESS_KEY_ID"); id != "" {
		return credentials.NewStaticV4(id, env("AWS_SECRET_ACCESS_KEY"), env("AWS_SESSION_TOKEN"))
	}
	iam := &credentials.IAM{Region: env("AWS_REGION")}
	switch {
	case env("AWS_WEB_IDENTITY_TOKEN_FILE") != "" && env("AWS_ROLE_ARN") != "": // IRSA
		iam.Endpoint = env("AWS_ENDPOINT_URL_STS")
		iam.EKSIdentity.TokenFile = env("AWS_WEB_IDENTITY_TOKEN_FILE")
		iam.EKSIdentity.RoleARN = env("AWS_ROLE_ARN")
		iam.EKSIdentity.RoleSessionName = cmp.Or(env("AWS_ROLE_SESSION_NAME"), "quern")
	case p["aws_access_key_id"] != "" || p["credential_process"] != "" || p["sso_role_name"] != "" || env("AWS_PROFILE") != "":
		return credentials.New(&credentials.FileAWSCredentials{Profile: cmp.Or(env("AWS_PROFILE"), "default")})
	case env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != "" || env("AWS_CONTAINER_CREDENTIALS_FULL_URI") != "":
		iam.Container.AuthorizationToken = env("AWS_CONTAINER_AUTHORIZATION_TOKEN")
		iam.Container.AuthorizationTokenFile = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
		iam.Container.CredentialsRelativeURI = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
		iam.Container.CredentialsFullURI = env("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	case strings.EqualFold(env("AWS_EC2_METADATA_DISABLED"), "true"):
		return credentials.NewStatic("", "", "", credentials.SignatureAnonymous)
	default: // the machine's role, else nobody: public buckets need none
		return credentials.NewChainCredentials([]credentials.Provider{iam})
	}
	return credentials.New(iam)
}

// profile reads what the profile's sections of the config and credentials files say.
func profile(env func(string) string) (map[string]string, error) {
	home, _ := os.UserHomeDir()
	name := cmp.Or(env("AWS_PROFILE"), "default")
	all := map[string]string{}
	found := false
	for _, f := range []struct{ path, section string }{
		{cmp.Or(env("AWS_CONFIG_FILE"), filepath.Join(home, ".aws", "config")), "profile " + name},
		{cmp.Or(env("AWS_SHARED_CREDENTIALS_FILE"), filepath.Join(home, ".aws", "credentials")), name},
	} {
		file, err := ini.LoadSources(ini.LoadOptions{Loose: true, AllowNestedValues: true}, f.path)
		if err != nil {
			return nil, invalid.Errorf("reading %q: it is no file of profiles", f.path)
		}
		section, err := file.GetSection(f.section)
		if err != nil && name == "default" {
			section, err = file.GetSection(name)
		}
		if err != nil {
			continue
		}
		found = true
		for _, k := range section.Keys() {
			all[k.Name()] = k.String()
			for _, nested := range k.NestedValues() {
				if name, value, ok := strings.Cut(nested, "="); ok && k.Name() == "s3" {
					all[strings.TrimSpace(name)] = strings.TrimSpace(value)
				}
			}
		}
	}
	if !found && env("AWS_PROFILE") != "" {
		return nil, invalid.Errorf("AWS_PROFILE %q: no such profile", name)
	}
	return all, nil
}
