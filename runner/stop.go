package runner

import (
	"encoding/json"
	"fmt"
	"os"

	"quern/internal/invalid"
)

// StopTokens are the ids that end a text: eos_token_id of generation_config.json, a
// number or a list, or else of config.json.
func (m *Model) StopTokens() ([]int, error) {
	const name = "generation_config.json"
	for _, f := range m.c.Side {
		if f.Name != name {
			continue
		}
		raw, err := os.ReadFile(f.Path)
		if err != nil {
			return nil, fmt.Errorf("reading %q: %w", name, err)
		}
		var c struct {
			EOS json.RawMessage `json:"eos_token_id"`
		}
		if err := json.Unmarshal(raw, &c); err != nil {
			return nil, invalid.Errorf("reading %q: %v", name, err)
		}
		if len(c.EOS) == 0 || string(c.EOS) == "null" {
			break
		}
		var one int
		if json.Unmarshal(c.EOS, &one) == nil {
			return []int{one}, nil
		}
		var many []int
		if err := json.Unmarshal(c.EOS, &many); err != nil {
			return nil, invalid.Errorf("reading %q: eos_token_id %s is neither a token id nor a list of them", name, c.EOS)
		}
		return many, nil
	}
	return m.cfg.EOS, nil
}
