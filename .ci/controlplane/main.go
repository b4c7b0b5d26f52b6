// Controlplane is Kubernetes without containers, one program for .ci/kubernetes: etcd, the
// API server, the controllers, the scheduler and kubectl as they are released, and a
// kubelet that runs what it is given as processes of this machine.
//
//	controlplane etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubectl|kubelet FLAGS…
package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // as the released programs have them
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// programs are those whose main functions are these.
var programs = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": manager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubectl":                 kubectl.NewDefaultKubectlCommand,
	"kubelet":                 kubeletCommand,
}

func main() {
	os.Args = os.Args[1:]
	if len(os.Args) > 0 && os.Args[0] == "etcd" {
		etcdmain.Main(os.Args)
		return
	}
	if len(os.Args) > 0 && programs[os.Args[0]] != nil {
		os.Exit(cli.Run(programs[os.Args[0]]()))
	}
	fmt.Fprintln(os.Stderr, "usage: controlplane etcd|"+strings.Join(slices.Sorted(maps.Keys(programs)), "|")+" FLAGS…")
	os.Exit(2)
}
