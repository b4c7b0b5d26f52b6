package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/fieldpath"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// environment is what a container finds: nothing of this process's but where programs lie.
func (k *kubelet) environment(ctx context.Context, pod *core.Pod, c *core.Container) (map[string]string, error) {
	env := map[string]string{"PATH": os.Getenv("PATH"), "HOME": "/", "HOSTNAME": pod.Name}
	for _, from := range c.EnvFrom {
		secret, err := k.client.CoreV1().Secrets(pod.Namespace).Get(ctx, from.SecretRef.Name, meta.GetOptions{})
		if err != nil {
			return nil, err
		}
		for name, value := range secret.Data {
			env[name] = string(value)
		}
	}
	for _, v := range c.Env {
		env[v.Name] = v.Value
		if v.ValueFrom != nil {
			value, err := fieldpath.ExtractFieldPathAsString(pod, v.ValueFrom.FieldRef.FieldPath)
			if err != nil {
				return nil, err
			}
			env[v.Name] = value
		}
	}
	return env, nil
}

// mounted sees to it that what a container mounts is where it thinks.
func (k *kubelet) mounted(ctx context.Context, pod *core.Pod, c *core.Container) error {
	for _, m := range c.VolumeMounts {
		at := slices.IndexFunc(pod.Spec.Volumes, func(v core.Volume) bool { return v.Name == m.Name })
		claim, err := k.client.CoreV1().PersistentVolumeClaims(pod.Namespace).Get(ctx, pod.Spec.Volumes[at].PersistentVolumeClaim.ClaimName, meta.GetOptions{})
		if err != nil {
			return err
		}
		volume, err := k.client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, meta.GetOptions{})
		if err != nil {
			return err
		}
		if path := volume.Spec.HostPath.Path; path != m.MountPath {
			return fmt.Errorf("the folder %s is mounted as %s; without containers it must have its own path", path, m.MountPath)
		}
	}
	return nil
}

// A process is a container that runs, or has ended.
type process struct {
	cmd      *exec.Cmd
	from, to meta.Time
	code     int32
	end      chan struct{} // closed when it has
}

// run starts a container's command in a process group of its own, which outlives this
// program. BASE.log gets what it writes, BASE.pid its number.
func run(c *core.Container, env map[string]string, base string) (*process, error) {
	var argv, variables []string
	for _, word := range slices.Concat(c.Command, c.Args) {
		argv = append(argv, expansion.Expand(word, expansion.MappingFuncFor(env)))
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		variables = append(variables, name+"="+env[name])
	}
	log, err := os.Create(base + ".log")
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), from: meta.Now(), end: make(chan struct{})}
	p.cmd.Env, p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = variables, "/", log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is told below
		if w := p.cmd.ProcessState.Sys().(syscall.WaitStatus); w.Signaled() {
			p.code = 128 + int32(w.Signal())
		} else {
			p.code = int32(w.ExitStatus())
		}
		p.to = meta.Now()
		close(p.end)
	}()
	return p, os.WriteFile(base+".pid", []byte(strconv.Itoa(p.cmd.Process.Pid)), 0o644)
}

func (p *process) ended() bool {
	select {
	case <-p.end:
		return true
	default:
		return false
	}
}

// stop ends it, in order.
func (p *process) stop() {
	if !p.ended() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	}
}

// status is what the API server is told of it.
func (p *process) status(pod *core.Pod) core.PodStatus {
	s := *pod.Status.DeepCopy()
	c := &pod.Spec.Containers[0]
	told := core.ContainerStatus{Name: c.Name, Image: c.Image}
	ready := core.ConditionFalse
	switch {
	case !p.ended():
		s.Phase, told.Ready, ready = core.PodRunning, true, core.ConditionTrue
		told.State.Running = &core.ContainerStateRunning{StartedAt: p.from}
	default:
		reason := "Error"
		if s.Phase = core.PodFailed; p.code == 0 {
			s.Phase, reason = core.PodSucceeded, "Completed"
		}
		told.State.Terminated = &core.ContainerStateTerminated{ExitCode: p.code, Reason: reason, StartedAt: p.from, FinishedAt: p.to}
	}
	s.StartTime, s.ContainerStatuses = &p.from, []core.ContainerStatus{told}
	s.Conditions = slices.DeleteFunc(s.Conditions, func(c core.PodCondition) bool { return c.Type == core.PodReady })
	s.Conditions = append(s.Conditions, core.PodCondition{Type: core.PodReady, Status: ready, LastTransitionTime: meta.Now()})
	return s
}
