package verify

import "quern/formats/model"

// Subject is what a checkpoint is of.
type Subject struct {
	Architecture string           `json:"architecture"`
	Parameters   model.Parameters `json:"parameters"`
	Calibration  string           `json:"calibration,omitempty"` // digest of the file that it was quantized by
}

func subject(s *side) *Subject {
	out := &Subject{Architecture: s.c.Arch().Name(), Parameters: s.c.Parameters()}
	if s.manifest != nil {
		out.Calibration = s.manifest.Calibration
	}
	return out
}
