//go:build linux && !race

package evaluation

const raceEnabled = false
