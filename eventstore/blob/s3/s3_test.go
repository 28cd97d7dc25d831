package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/eventstore/blob"
	"github.com/hodei-jobs/hodei/eventstore/blob/blobtest"
	"github.com/hodei-jobs/hodei/eventstore/blob/s3"
	"github.com/hodei-jobs/hodei/eventstore/blob/s3/s3test"
)

const patience = 20 * time.Second

func TestTheContractIsKept(t *testing.T) {
	server, n := s3test.Start(t), 0
	blobtest.Run(t, func(t *testing.T) blob.Store {
		n++
		return server.Store(t, fmt.Sprintf("some/prefix-%d/", n), patience)
	})
}

func TestABodyOfManyParts(t *testing.T) {
	s := s3test.Start(t).Store(t, "", patience)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<20+3) // 16 MiB and a bit: three parts
	for i, want := range []error{nil, blob.ErrExists} {
		err := s.Put(t.Context(), "large", bytes.NewBuffer(data), blob.Options{Size: blob.UnknownSize, Create: true})
		if !errors.Is(err, want) {
			t.Fatalf("put %d gets %v, want %v", i+1, err, want)
		}
	}
	if got := blobtest.Get(t, s, "large"); !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back, or others", len(got))
	}
}

func TestAPrefixIsAWorldOfItsOwn(t *testing.T) {
	server := s3test.Start(t)
	one, other := server.Store(t, "one/", patience), server.Store(t, "one-other/", patience)
	blobtest.Put(t, one, "a", []byte("1"))
	blobtest.Put(t, other, "a", []byte("2"))
	if got := blobtest.Keys(t, one, ""); len(got) != 1 || string(blobtest.Get(t, one, "a")) != "1" {
		t.Errorf("it has %v", got)
	}
}

// A server that is gone, hangs or refuses is unavailable, soon, in all calls.
func TestAServerThatDoesNotAnswerIsUnavailable(t *testing.T) {
	server := s3test.Start(t)
	const stall = 300 * time.Millisecond
	s := server.Store(t, "", stall)
	blobtest.Put(t, s, "a", []byte("kept"))
	check := func(how string, s blob.Store) {
		t.Helper()
		begun := time.Now()
		_, getErr := s.Get(t.Context(), "a", 0, 1)
		_, statErr := s.Stat(t.Context(), "a")
		errs := map[string]error{
			"put": s.Put(t.Context(), "b", strings.NewReader("x"), blob.Options{Size: 1, Create: true}),
			"get": getErr, "stat": statErr, "delete": s.Delete(t.Context(), "c"), // which the server may do once it goes on
		}
		for _, err := range s.List(t.Context(), "") {
			errs["list"] = err
		}
		for call, err := range errs {
			if !errors.Is(err, blob.ErrUnavailable) {
				t.Errorf("%s, %s gets %v", how, call, err)
			}
		}
		if took := time.Since(begun); took > patience {
			t.Errorf("%s: it took %v", how, took)
		}
	}
	server.Hang(t)
	check("while it hangs", s)
	server.Wake(t)
	server.Stop()
	check("while it is gone", s)
	server.Again(t)
	wrong := server.Config("", stall)
	wrong.SecretKey = "another"
	check("with a wrong key", store(t, wrong))
	nowhere := server.Config("", stall)
	nowhere.Bucket = "nowhere"
	check("without a bucket", store(t, nowhere))
	if got := blobtest.Get(t, server.Store(t, "", patience), "a"); string(got) != "kept" {
		t.Errorf("after all that it reads %q", got)
	}
}

func store(t *testing.T, c s3.Config) blob.Store {
	t.Helper()
	s, err := s3.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAWrongConfigurationIsRefused(t *testing.T) {
	for _, c := range []s3.Config{
		{Endpoint: "localhost:9000", Bucket: "b"}, {Endpoint: "https://", Bucket: "b"},
		{Endpoint: "http://localhost", Bucket: "b", Prefix: "/x/"}, {Endpoint: "http://localhost", Bucket: "b", Prefix: "x"},
	} {
		if _, err := s3.New(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
