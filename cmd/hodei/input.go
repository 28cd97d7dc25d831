package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hodei-jobs/hodei/cmd/hodei/jobfile"
)

// maxFile is the longest job file read, in bytes.
const maxFile = 1 << 20

// readFile reads a file, or standard input for -. name is what errors call it.
func readFile(path string) (data []byte, name string, err error) {
	name = path
	r := io.Reader(os.Stdin)
	if path == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(path)
		if err != nil {
			return nil, name, err
		}
		defer func() { _ = f.Close() }()
		r = f
	}
	data, err = io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("it is longer than %d bytes", maxFile)
	}
	return data, name, err
}

// explainFile writes the mistakes of a job file as compilers do: place, what is
// wrong, the line with a mark below it.
func explainFile(err error) error {
	var fe *jobfile.Error
	if !errors.As(err, &fe) {
		return err
	}
	e := &exitError{code: exitUsage, err: errors.New(mistake(&fe.Mistakes[0])), more: evidence(&fe.Mistakes[0])}
	for i := range fe.Mistakes[1:] {
		m := &fe.Mistakes[i+1]
		e.also = append(e.also, finding{mistake(m), evidence(m)})
	}
	e.last = fmt.Sprintf("%d error%s, nothing was submitted", len(fe.Mistakes), map[bool]string{true: "s"}[len(fe.Mistakes) > 1])
	return e
}

func mistake(m *jobfile.Mistake) string {
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, m.Text)
}

// evidence is the line with a mark; nothing if it is too long to show.
func evidence(m *jobfile.Mistake) []string {
	if m.Help == "" || m.Source == "" || len(m.Source) > 120 {
		return nil
	}
	number := fmt.Sprint(m.Line)
	return []string{
		number + " | " + m.Source,
		strings.Repeat(" ", len(number)) + " | " + strings.Repeat(" ", m.Column-1) + strings.Repeat("^", m.Width) + " " + m.Help,
	}
}
