package bucket

import "testing"

// Moto starts moto for tests of the package from outside, see moto.
var Moto = moto

// MotoBucket makes the bucket there.
func MotoBucket(t *testing.T, url string) { motoBucket(t, url) }
