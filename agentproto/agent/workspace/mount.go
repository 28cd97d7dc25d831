package workspace

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/agentproto/agent/procfs"
)

// maxMounts is how many mounts one upon the other are taken off a folder.
const maxMounts = 64

// errMounted is what stays because it can't be unmounted, by an agent that isn't
// root for one.
var errMounted = errors.New("something is mounted there")

// bare opens an entry of a folder, and takes off whatever is mounted over it.
func (r *remover) bare(dir *os.File, name string, flags int) (*os.File, error) {
	for range maxMounts {
		fd, err := unix.Openat(descriptor(dir), name, flags|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		file := os.NewFile(uintptr(fd), name)
		mount, err := mountOf(fd)
		if err == nil && mount == r.mount {
			return file, nil
		}
		if err == nil {
			err = unmount(file)
		}
		file.Close()
		if err != nil {
			return nil, err
		}
	}
	return nil, errMounted
}

// unmount takes off the mount that a file is the root of, with all mounts in it.
// They are made private first: else the kernel would take off as well what is
// mounted at the place that was bound here.
func unmount(root *os.File) error {
	if err := unix.Mount("", link(root), "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("%w (%w)", errMounted, err)
	}
	if err := unix.Unmount(link(root), unix.MNT_DETACH); err != nil {
		return fmt.Errorf("%w (%w)", errMounted, err)
	}
	return nil
}

// mountOf is the number of the mount that an open file was reached through. The
// number of its device would not do: a folder of the same disk can be bound.
func mountOf(fd int) (uint64, error) {
	var stat unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &stat)
	if err == nil && stat.Mask&unix.STATX_MNT_ID != 0 {
		return stat.Mnt_id, nil
	}
	return mountByInfo(fd)
}

// mountByInfo is for kernels before 5.8.
func mountByInfo(fd int) (uint64, error) {
	mount, ok := procfs.Value("/proc/self/fdinfo/"+strconv.Itoa(fd), "mnt_id:")
	if !ok {
		return 0, errors.New("the kernel doesn't tell what is mounted")
	}
	return mount, nil
}

// link is a path that leads to an open file, wherever that lies now.
func link(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(descriptor(f)) }
