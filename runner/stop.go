package runner

import (
	"context"
	"encoding/json"

	"quern/internal/invalid"
	"quern/store"
)

// maxGeneration bounds generation_config.json, which has some hundred bytes.
const maxGeneration = 16 << 20

// StopTokens are the ids that end a text: eos_token_id of generation_config.json, a
// number or a list, or else of config.json.
func (m *Model) StopTokens() ([]int, error) {
	const name = "generation_config.json"
	for _, f := range m.c.Side {
		if f.Name != name {
			continue
		}
		raw, err := store.ReadFile(context.Background(), m.c.Folder, name, maxGeneration)
		if err != nil {
			return nil, err
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
