package bucket

// Moto starts moto for tests of the package from outside, see moto.
var Moto = moto
