package gpu

// Options say how a device is used. None of them changes a result.
type Options struct {
	// DeviceMemory bounds what is taken of the device's memory, in bytes. If 0:
	// four fifths of what is free.
	DeviceMemory int64

	// ChunkBytes is the most that a piece of a call's source or result takes. If
	// 0: 32 MiB, and 8 MiB where the device's memory is the processor's. Pieces are
	// smaller where DeviceMemory asks for it.
	ChunkBytes int

	// Slots is how many pieces are under way at a time. If 0: 4. Each takes two
	// chunks of the device's memory and, where calls bring memory that is not from
	// NewBuffer, host memory for its largest source and result so far.
	Slots int

	// Log, if set, is told of devices that are there and cannot be used, and of
	// those that fail while others go on.
	Log func(string)
}

const (
	defaultChunk = 32 << 20
	defaultSlots = 4
	// minChunk holds a tile of float32 and its codes with room to spare.
	minChunk = 128 << 10
)

func (o Options) withDefaults(i Info) Options {
	if o.DeviceMemory <= 0 {
		o.DeviceMemory = i.Free
		if i.Free <= 0 {
			o.DeviceMemory = i.Memory
		}
		o.DeviceMemory = o.DeviceMemory / 5 * 4
	}
	if o.ChunkBytes <= 0 {
		o.ChunkBytes = defaultChunk
		if !i.IsGPU {
			o.ChunkBytes /= 4
		}
	}
	o.ChunkBytes = max(roundUp(o.ChunkBytes, 4096), minChunk)
	if o.Slots <= 0 {
		o.Slots = defaultSlots
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	return o
}

// small is the size of a slot's small buffers: statistics, scales and the like.
// Of a matrix whose rows are not very short they take 1/32 of its codes at most.
func (o Options) small() int { return max(o.ChunkBytes/32, 16<<10) }

// ring is what the slots take of the device.
func (o Options) ring() int64 { return int64(o.Slots) * 2 * int64(o.ChunkBytes+o.small()) }

// shrink makes the ring smaller, and reports whether that was possible.
func (o *Options) shrink() bool {
	switch {
	case o.ChunkBytes > minChunk:
		o.ChunkBytes = max(o.ChunkBytes/2&^4095, minChunk)
	case o.Slots > 1:
		o.Slots--
	default:
		return false
	}
	return true
}
