package safetensors

// MarshalText gives d its name in JSON.
func (d DType) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is the inverse of MarshalText; unknown names match
// invalid.Input.
func (d *DType) UnmarshalText(text []byte) error {
	x, err := ParseDType(string(text))
	if err == nil {
		*d = x
	}
	return err
}
