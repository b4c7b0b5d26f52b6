// Package gputest is what every device has to pass: [Run] compares a device with
// package fp8, bit for bit, and its products with exact ones.
package gputest
