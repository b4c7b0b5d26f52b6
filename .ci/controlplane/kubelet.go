package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	notthere "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
)

// A kubelet is a node. What the real one asks a runtime of containers for is a process
// here: images are ignored, and a volume is there where it is mounted, as it must be a
// folder of this machine that is mounted under its own path.
type kubelet struct {
	client kubernetes.Interface
	node   string
	cpus   int64
	dir    string // of what processes write, and of their numbers
	pods   map[types.UID]*process
}

// beats is how often a node says that it is there. The controllers wait a multiple of it.
const beats = 2 * time.Second

func kubeletCommand() *cobra.Command {
	var k kubelet
	var config string
	c := &cobra.Command{Use: "kubelet", RunE: func(c *cobra.Command, _ []string) error {
		rest, err := clientcmd.BuildConfigFromFlags("", config)
		if err != nil {
			return err
		}
		if k.client, err = kubernetes.NewForConfig(rest); err != nil {
			return err
		}
		k.pods = map[types.UID]*process{}
		return k.run(c.Context())
	}}
	c.Flags().StringVar(&config, "kubeconfig", "", "how the API server is reached")
	c.Flags().StringVar(&k.node, "node", "", "name of the node")
	c.Flags().Int64Var(&k.cpus, "cpus", 2, "processors that it says it has")
	c.Flags().StringVar(&k.dir, "dir", ".", "where POD.log and POD.pid go")
	return c
}

func (k *kubelet) run(ctx context.Context) error {
	if err := k.register(ctx); err != nil {
		return err
	}
	var told time.Time
	for {
		if time.Since(told) > beats {
			if err := k.beat(ctx); err != nil {
				fmt.Fprintln(os.Stderr, "lease:", err)
			}
			told = time.Now()
		}
		if err := k.look(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "pods:", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// register makes the node known, ready.
func (k *kubelet) register(ctx context.Context) error {
	node := &core.Node{ObjectMeta: meta.ObjectMeta{Name: k.node, Labels: map[string]string{core.LabelHostname: k.node, core.LabelOSStable: "linux"}}}
	node, err := k.client.CoreV1().Nodes().Create(ctx, node, meta.CreateOptions{})
	if err != nil {
		return err
	}
	now := meta.Now()
	node.Status.Capacity = core.ResourceList{
		core.ResourceCPU: *resource.NewQuantity(k.cpus, resource.DecimalSI), core.ResourceMemory: resource.MustParse("64Gi"), core.ResourcePods: resource.MustParse("20"),
	}
	node.Status.Allocatable = node.Status.Capacity
	node.Status.Conditions = []core.NodeCondition{{Type: core.NodeReady, Status: core.ConditionTrue, LastHeartbeatTime: now, LastTransitionTime: now, Reason: "KubeletReady"}}
	_, err = k.client.CoreV1().Nodes().UpdateStatus(ctx, node, meta.UpdateOptions{})
	return err
}

// beat renews the lease of the node, by which the controllers know that it is there.
func (k *kubelet) beat(ctx context.Context) error {
	leases := k.client.CoordinationV1().Leases(core.NamespaceNodeLease)
	spec := coordination.LeaseSpec{HolderIdentity: &k.node, LeaseDurationSeconds: ptr.To(int32(10)), RenewTime: ptr.To(meta.NowMicro())}
	lease, err := leases.Get(ctx, k.node, meta.GetOptions{})
	if notthere.IsNotFound(err) {
		_, err = leases.Create(ctx, &coordination.Lease{ObjectMeta: meta.ObjectMeta{Name: k.node}, Spec: spec}, meta.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	lease.Spec = spec
	_, err = leases.Update(ctx, lease, meta.UpdateOptions{})
	return err
}

// look brings what runs here to what the API server says should.
func (k *kubelet) look(ctx context.Context) error {
	list, err := k.client.CoreV1().Pods("").List(ctx, meta.ListOptions{FieldSelector: "spec.nodeName=" + k.node})
	if err != nil {
		return err
	}
	var errs []error
	there := map[types.UID]bool{}
	for i := range list.Items {
		pod := &list.Items[i]
		there[pod.UID] = true
		if err := k.tend(ctx, pod); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", pod.Name, err))
		}
	}
	for uid, p := range k.pods { // what was deleted by force
		if !there[uid] {
			p.stop()
			delete(k.pods, uid)
		}
	}
	return errors.Join(errs...)
}

// tend does the next step of a pod: starts it, says that it has ended, ends it.
func (k *kubelet) tend(ctx context.Context, pod *core.Pod) error {
	p := k.pods[pod.UID]
	over := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
	if p == nil && !over && pod.DeletionTimestamp == nil {
		var err error
		if p, err = k.start(ctx, pod); err != nil {
			return err
		}
		k.pods[pod.UID] = p
	}
	if p != nil && pod.DeletionTimestamp != nil {
		p.stop()
	}
	if p != nil && !over {
		status := p.status(pod)
		if status.Phase != pod.Status.Phase {
			pod.Status = status
			if _, err := k.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, meta.UpdateOptions{}); err != nil {
				return err
			}
		}
	}
	if pod.DeletionTimestamp != nil && (p == nil || p.ended()) {
		return k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, meta.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))})
	}
	return nil
}

// start runs the container of a pod.
func (k *kubelet) start(ctx context.Context, pod *core.Pod) (*process, error) {
	c := &pod.Spec.Containers[0]
	env, err := k.environment(ctx, pod, c)
	if err != nil {
		return nil, err
	}
	if err := k.mounted(ctx, pod, c); err != nil {
		return nil, err
	}
	return run(c, env, filepath.Join(k.dir, pod.Name))
}
