//go:build !nogpu && (linux || darwin || windows) && (amd64 || arm64)

package nvrtc

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unsafe"

	"quern/gpu/internal/dynlib"
)

// EnvLibrary names the variable that says where the library is, where the system
// does not find it by itself.
const EnvLibrary = "QUERN_NVRTC"

// functions are those of nvrtc.h.
type functions struct {
	CreateProgram     func(program *uintptr, source, name string, headers int32, contents, names **byte) int32 `sym:"nvrtcCreateProgram"`
	CompileProgram    func(program uintptr, n int32, options **byte) int32                                     `sym:"nvrtcCompileProgram"`
	GetProgramLogSize func(program uintptr, n *uintptr) int32                                                  `sym:"nvrtcGetProgramLogSize"`
	GetProgramLog     func(program uintptr, log *byte) int32                                                   `sym:"nvrtcGetProgramLog"`
	GetPTXSize        func(program uintptr, n *uintptr) int32                                                  `sym:"nvrtcGetPTXSize"`
	GetPTX            func(program uintptr, ptx *byte) int32                                                   `sym:"nvrtcGetPTX"`
	DestroyProgram    func(program *uintptr) int32                                                             `sym:"nvrtcDestroyProgram"`
	GetErrorString    func(code int32) string                                                                  `sym:"nvrtcGetErrorString"`
}

// Compiler is the library.
type Compiler struct{ f functions }

// Open finds the library. The error says that it is not there.
func Open() (*Compiler, error) {
	names := []string{"libnvrtc.so.11.2", "libnvrtc.so.12", "libnvrtc.so"}
	if path := os.Getenv(EnvLibrary); path != "" {
		names = []string{path}
		// It loads another library by name; once that is loaded it is found.
		more, err := filepath.Glob(filepath.Join(filepath.Dir(path), "libnvrtc-builtins.so*"))
		if err != nil {
			return nil, err
		}
		for _, p := range more {
			if _, err := dynlib.Open(p); err != nil {
				return nil, err
			}
		}
	}
	lib, err := dynlib.Open(names...)
	if err != nil {
		return nil, err
	}
	c := new(Compiler)
	return c, lib.Bind(&c.f)
}

// Compile returns the PTX of a source. The error holds what the compiler says.
func (c *Compiler) Compile(source, name string, options ...string) (string, error) {
	var p uintptr
	if code := c.f.CreateProgram(&p, source, name, 0, nil, nil); code != 0 {
		return "", fmt.Errorf("compiling %s: %s", name, c.f.GetErrorString(code))
	}
	defer c.f.DestroyProgram(&p)
	list := make([]*byte, len(options))
	for i, o := range options {
		list[i] = unsafe.StringData(o + "\x00")
	}
	code := c.f.CompileProgram(p, int32(len(list)), unsafe.SliceData(list))
	runtime.KeepAlive(list)
	if code != 0 {
		log := c.text(p, c.f.GetProgramLogSize, c.f.GetProgramLog)
		return "", fmt.Errorf("compiling %s: %s\n%s", name, c.f.GetErrorString(code), log)
	}
	return c.text(p, c.f.GetPTXSize, c.f.GetPTX), nil
}

// text fetches a text that ends with a zero byte.
func (c *Compiler) text(p uintptr, size func(uintptr, *uintptr) int32, get func(uintptr, *byte) int32) string {
	var n uintptr
	if size(p, &n) != 0 || n == 0 {
		return ""
	}
	b := make([]byte, n)
	if get(p, &b[0]) != 0 {
		return ""
	}
	return strings.TrimRight(string(b), "\x00")
}
