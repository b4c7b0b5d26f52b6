package strictjson

// manyKeys is the size from which a map finds duplicate keys faster than a scan.
const manyKeys = 16

// maxValues bounds a tree: a value takes some 70 bytes, its text as few as two.
const maxValues = 1 << 19

// Value reads a value of any kind with all that it contains, and refuses duplicate
// keys in it. Recursion is bounded by the depth allowed.
func (s *Scanner) Value() (Value, error) {
	k, err := s.Peek()
	if err != nil {
		return Value{}, err
	}
	if s.values++; s.values > maxValues {
		return Value{}, s.errorf(s.pos, "more than %d values", maxValues)
	}
	v := Value{Kind: k}
	switch k {
	case KindObject:
		v.Members, err = s.members()
	case KindArray:
		v.Elems, err = s.elems()
	case KindString:
		var b []byte
		b, err = s.str()
		v.Text = string(b)
	case KindNumber:
		v.Text, err = s.number()
	case KindBool:
		if v.Text = "true"; s.at() == 'f' {
			v.Text = "false"
		}
		err = s.literal(v.Text)
	case KindNull:
		err = s.literal("null")
	}
	if err != nil {
		return Value{}, err
	}
	return v, nil
}

func (s *Scanner) elems() ([]Value, error) {
	if err := s.ArrayStart(); err != nil {
		return nil, err
	}
	var elems []Value
	for {
		more, err := s.Next()
		if !more {
			return elems, err
		}
		v, err := s.Value()
		if err != nil {
			return nil, err
		}
		elems = append(elems, v)
	}
}

func (s *Scanner) members() ([]Member, error) {
	if err := s.ObjectStart(); err != nil {
		return nil, err
	}
	var (
		members []Member
		seen    map[string]struct{} // of all members, once there are many
	)
	for {
		b, ok, err := s.Key()
		if !ok {
			return members, err
		}
		key, at := string(b), s.last
		if hasKey(members, seen, key) {
			return nil, s.errorf(at, "duplicate key %s", quote(b))
		}
		v, err := s.Value()
		if err != nil {
			return nil, err
		}
		members = append(members, Member{Key: key, Value: v})
		switch {
		case seen != nil:
			seen[key] = struct{}{}
		case len(members) == manyKeys:
			seen = make(map[string]struct{}, 4*manyKeys)
			for i := range members {
				seen[members[i].Key] = struct{}{}
			}
		}
	}
}

func hasKey(members []Member, seen map[string]struct{}, key string) bool {
	if seen != nil {
		_, dup := seen[key]
		return dup
	}
	for i := range members {
		if members[i].Key == key {
			return true
		}
	}
	return false
}
