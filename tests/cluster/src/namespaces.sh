# Pid 1 of a test's namespaces. Makes the network, says "ready" and waits for the end of its input: that is the test's end,
# however it came. Then everything in the namespaces is ended and what lies outside them is removed.
# $1: the folder of the run; $2: light or node; $3: the node's cgroup.
set -eu
run=$1 form=$2 group=$3

hierarchies() { # cgroup v1 has one per controller, v2 one for all
    if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
        echo /sys/fs/cgroup
    else
        find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d ! -name unified
    fi
}

make_cgroups() {
    local hierarchy file
    for hierarchy in $(hierarchies); do
        mkdir -p "$hierarchy/$group"
    done
    if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
        for file in /sys/fs/cgroup/cgroup.subtree_control "/sys/fs/cgroup/$group/cgroup.subtree_control"; do
            sed 's/[^ ]*/+&/g' /sys/fs/cgroup/cgroup.controllers >"$file"
        done
    else
        for file in cpus mems; do # empty in a new group
            cat "/sys/fs/cgroup/cpuset/cpuset.$file" >"/sys/fs/cgroup/cpuset/$group/cpuset.$file"
        done
    fi
}

# The kubelet sets values of the whole kernel. It is shown those it wants to read; the host keeps its own.
show_sysctls() {
    local pair path
    mkdir "$run/sysctl"
    for pair in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
        kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
        path=$run/sysctl/$(tr / _ <<<"${pair%=*}")
        echo "${pair#*=}" >"$path"
        mount --bind "$path" "/proc/sys/${pair%=*}"
    done
}

make_node() {
    mount --make-rshared /
    mount -t tmpfs tmpfs /run
    mkdir -p /run/lock /run/netns /run/containerd
    mount -t tmpfs tmpfs /var/log
    mkdir -p /var/log/pods /var/log/containers
    hostname forebay-node
    show_sysctls
    make_cgroups
    # A client outside the cluster stands at the other end of the node's only link.
    ip netns add outside
    ip link add node0 type veth peer name node1 netns outside
    ip addr add 10.99.0.1/24 dev node0
    ip link set node0 up
    ip route add default via 10.99.0.254
    ip -n outside link set lo up
    ip -n outside addr add 10.99.0.254/24 dev node1
    ip -n outside link set node1 up
    ip -n outside route add default via 10.99.0.1
    echo 1 >/proc/sys/net/ipv4/ip_forward
    mkdir "$run/sbin"
    for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
        ln -s "$ROOT/usr/sbin/xtables-nft-multi" "$run/sbin/$name"
    done
}

leave() {
    set +e
    exec >/dev/null 2>&1 # nobody reads them any more
    kill -9 -1
    local left _
    for _ in {1..100}; do
        left=$(compgen -G "/sys/fs/cgroup/$group"; compgen -G "/sys/fs/cgroup/*/$group")
        [[ -n $left ]] || break
        # Names without spaces, made by this file and by tempfile.
        find $left -depth -type d -exec rmdir {} +
        sleep 0.1
    done
    # Volumes and the file systems of containers, the innermost first.
    awk -v run="$run/" 'index($5, run) == 1 { print $5 }' /proc/self/mountinfo | sort -r | xargs -r umount --lazy
    rm -rf "$run"
}

trap leave EXIT
ip link set lo up
case $form in
light) ip addr add 10.99.0.1/32 dev lo ;;
node) make_node ;;
esac
echo ready
read -r _ || :
