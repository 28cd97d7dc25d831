package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/api/client"
	"time"

	"github.com/hodei-jobs/hodei/eventstore/blob"
	"github.com/hodei-jobs/hodei/eventstore/blob/blobtest"
	"github.com/hodei-jobs/hodei/eventstore/blob/disk"
	"github.com/hodei-jobs/hodei/eventstore/blob/s3/s3test"
)

// noisy writes some 4 MB of random bytes over some seconds, and keeps what it wrote.
const noisy = `for i in $(seq 60); do head -c 70001 /dev/urandom | tee -a "$KEPT"; sleep 0.0$((i % 9)); done`

// What a job wrote is what is stored: after cuts by kill -9 of the server, in a
// folder and in S3, also if that is away for a while.
func TestOutputLastsByteForByte(t *testing.T) {
	t.Run("in a folder", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "store")
		lasts(t, []string{"--log-store", dir}, func(func()) {}, func() blob.Store { // a folder is never away
			store, err := disk.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = store.Close() })
			return store
		})
	})
	t.Run("in S3", func(t *testing.T) {
		server := s3test.Start(t)
		t.Setenv("AWS_ACCESS_KEY_ID", s3test.AccessKey)
		t.Setenv("AWS_SECRET_ACCESS_KEY", s3test.SecretKey)
		store := fmt.Sprintf("s3://%s/some/prefix?endpoint=%s&region=%s", s3test.Bucket, server.Endpoint, s3test.Region)
		lasts(t, []string{"--log-store", store}, func(during func()) {
			server.Stop()
			during()
			server.Again(t)
		}, func() blob.Store { return server.Store(t, "some/prefix/", time.Minute) })
	})
}

// storeAwayFor is how long a store in S3 is away, beyond a first warning.
func storeAwayFor() time.Duration {
	if os.Getenv("HODEI_LONG") != "" {
		return 10 * time.Minute
	}
	return time.Second
}

// lasts runs jobs while the server is killed and the store is away, and compares
// what is stored with what they wrote.
func lasts(t *testing.T, args []string, away func(during func()), store func() blob.Store) {
	c := startCluster(t, append(args, "--log-archive-after", "200ms")...)
	kept := t.TempDir()
	var ids []string
	for n := range 3 {
		script := "KEPT=" + filepath.Join(kept, fmt.Sprint(n)) + "; " + noisy
		out, stderr, code := c.hodei("run", "--detach", "--cpu", "100m", "--", "sh", "-c", script)
		if code != 0 {
			t.Fatal(stderr)
		}
		ids = append(ids, strings.TrimSpace(out))
	}
	wait(t, time.Second)
	c.kill()
	c.start()
	logs := len(ids)
	away(func() {
		logs++
		warned(t, c)
		wait(t, storeAwayFor())
		// It stalls nothing: jobs run to their end, and are read.
		out, stderr, code := c.hodei("run", "--cpu", "100m", "--", "echo", "meanwhile")
		if code != 0 || out != "meanwhile\n" {
			t.Errorf("while the store is away a job prints %q, exit code %d: %s", out, code, stderr)
		}
	})
	c.kill()
	c.start()
	for n, id := range ids {
		whole(t, c, id, filepath.Join(kept, fmt.Sprint(n)))
	}
	if code := c.stop(os.Interrupt); code != exitInterrupted && code != exitOK {
		t.Errorf("the server ended with %d", code)
	}
	c.start()
	for n, id := range ids {
		equal(t, c, id, filepath.Join(kept, fmt.Sprint(n)))
	}
	c.stop(os.Interrupt)
	series := func(name string) bool { return strings.Contains(name, "-1u-") } // what a job used, beside its log
	if names := slices.DeleteFunc(blobtest.Keys(t, store(), ""), series); len(names) != logs {
		t.Errorf("for %d jobs the store has %v", logs, names)
	}
}

// warned waits until /readyz tells of a store that is away, if one is.
func warned(t *testing.T, c *cluster) {
	t.Helper()
	eventually(t, commandLimit, func() error {
		ready, err := c.client().Ready(t.Context())
		if err != nil {
			return err
		}
		if !ready.Ready || !strings.Contains(strings.Join(ready.Warnings, " "), "logs of jobs stay in their journals") {
			return fmt.Errorf("readyz says %+v", ready)
		}
		return nil
	})
}

// whole waits until the job's log is sealed, and compares its digest.
func whole(t *testing.T, c *cluster, id, file string) {
	t.Helper()
	type seal struct {
		Size   json.Number `json:"size"`
		Digest []byte      `json:"digest"`
	}
	var sealed seal
	eventually(t, commandLimit, func() error {
		events, err := c.client().JobEvents(t.Context(), id, "")
		if err != nil {
			return err
		}
		for _, e := range events.Items {
			if e.Type == "JobLogSealed" {
				return json.Unmarshal(e.Data, &sealed)
			}
		}
		j, err := c.client().Job(t.Context(), id)
		return fmt.Errorf("the log of job %s is not sealed: %+v, %v", id, j, err)
	})
	wrote, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(wrote)
	if sealed.Size.String() != fmt.Sprint(len(wrote)) || !bytes.Equal(sealed.Digest, want[:]) {
		t.Errorf("job %s is sealed with %s bytes, sha256 %x; it wrote %d, %x", id, sealed.Size, sealed.Digest, len(wrote), want)
	}
	equal(t, c, id, file)
}

// equal compares what is read with what was written.
func equal(t *testing.T, c *cluster, id, file string) {
	t.Helper()
	wrote, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := c.client().Logs(t.Context(), id, client.LogsQuery{}, &got); err != nil {
		t.Fatal(err)
	}
	if sha256.Sum256(got.Bytes()) != sha256.Sum256(wrote) {
		t.Errorf("job %s reads %d bytes that are not the %d it wrote", id, got.Len(), len(wrote))
	}
	out, stderr, code := c.hodei("logs", id)
	if code != 0 || out != string(wrote) {
		t.Errorf("hodei logs gives %d bytes, exit code %d: %s", len(out), code, stderr)
	}
}

// A log that retention has removed is said to be gone, and the job stays.
func TestOutputThatIsNotKeptIsGone(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "--log-archive-after", "100ms", "--log-keep", "1s")
	id, stderr, code := c.hodei("run", "--detach", "--", "echo", "soon gone")
	if code != 0 {
		t.Fatal(stderr)
	}
	id = strings.TrimSpace(id)
	eventually(t, 3*time.Minute, func() error {
		_, stderr, code := c.hodei("logs", id)
		if code != exitNotFound {
			return fmt.Errorf("exit code %d: %s", code, stderr)
		}
		if want := "the output of job " + id + ", attempt 1, is not kept any more"; !strings.Contains(stderr, want) {
			t.Errorf("it says %q", stderr)
		}
		return nil
	})
	if j, err := c.client().Job(t.Context(), id); err != nil || j.State != "succeeded" {
		t.Errorf("the job is %+v, %v", j, err)
	}
}

// A store in S3 needs credentials, which are in no argument.
func TestS3WithoutCredentials(t *testing.T) {
	binaries(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	c := &cluster{t: t, dir: t.TempDir()}
	cmd := c.cli("server", "--data", filepath.Join(c.dir, "data"), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--log-store", "s3://b?endpoint=http://127.0.0.1:1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") {
		t.Errorf("%v: %s", err, out)
	}
}
