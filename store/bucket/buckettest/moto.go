package buckettest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Moto starts moto (pip install "moto[server,s3]"), which others hold S3 clients against,
// with a bucket, and a wire to it that cuts each cut-th connection after some kilobytes; 0
// is none. It takes every key.
func Moto(t Cleaner, cut int64) (url string, err error) {
	program, err := exec.LookPath("moto_server")
	if err != nil {
		return "", fmt.Errorf("moto_server is not installed: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := l.Addr().String()
	_ = l.Close()
	host, port, _ := net.SplitHostPort(server)
	cmd := exec.Command(program, "-H", host, "-p", port)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") }) // its own client reads them
	if err := cmd.Start(); err != nil {
		return "", err
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if err = makeBucket("http://" + server); err == nil {
			break
		} else if time.Since(start) > time.Minute {
			return "", fmt.Errorf("moto does not start: %w", err)
		}
	}
	if cut > 0 {
		server, err = wire(t, server, cut)
	}
	return "http://" + server, err
}

func makeBucket(url string) error {
	r, err := http.NewRequest(http.MethodPut, url+"/"+Bucket, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusOK {
		return fmt.Errorf("making a bucket: %s", resp.Status)
	}
	return nil
}

// wire is a connection to a server that is cut now and then.
func wire(t Cleaner, server string, cut int64) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	t.Cleanup(func() { _ = l.Close() })
	var n atomic.Int64
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", server)
			if err != nil {
				_ = in.Close()
				continue
			}
			limit := int64(1) << 40
			if k := n.Add(1); k%cut == 0 {
				limit = 100_000 * (k % 7)
			}
			pass := func(to, from net.Conn) {
				_, _ = io.Copy(to, io.LimitReader(from, limit))
				_ = in.Close()
				_ = out.Close()
			}
			go pass(in, out)
			go pass(out, in)
		}
	}()
	return l.Addr().String(), nil
}
