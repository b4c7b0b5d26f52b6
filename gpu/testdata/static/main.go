// A program that lists devices, to look at how it is linked.
package main

import (
	"fmt"

	"quern/gpu"
)

func main() {
	found, absent := gpu.List()
	fmt.Println(len(found), "found,", len(absent), "absent")
}
