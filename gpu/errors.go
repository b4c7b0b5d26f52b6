package gpu

import "quern/gpu/driver"

// ErrDevice matches errors that lie with a device and not with the arguments.
var ErrDevice = driver.ErrDevice

// ErrMemory matches those among them that say that its memory is short.
var ErrMemory = driver.ErrMemory
