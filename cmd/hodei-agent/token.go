package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

const (
	tokenVariable     = "HODEI_WORKER_TOKEN"
	tokenFileVariable = "HODEI_WORKER_TOKEN_FILE"

	// Where /proc/PID/stat tells the addresses of the arguments and of the
	// environment, counted from after the command.
	fieldArgStart = 45
	fieldEnvStart = 47
)

// takeToken gives the worker token, or "" if none was given, and removes it from
// this process's environment, also from what /proc shows of that.
func takeToken() (string, error) {
	token, file := os.Getenv(tokenVariable), os.Getenv(tokenFileVariable)
	switch {
	case token != "" && file != "":
		return "", fmt.Errorf("both %s and %s are set", tokenVariable, tokenFileVariable)
	case file != "":
		data, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("cannot read the worker token: %w", err)
		}
		return strings.TrimSpace(string(data)), nil
	case token == "":
		return "", nil
	}
	os.Unsetenv(tokenVariable)
	if err := wipe(tokenVariable); err != nil {
		return "", fmt.Errorf("cannot remove the token from the environment; use %s instead: %w", tokenFileVariable, err)
	}
	return strings.TrimSpace(token), nil
}

// wipe overwrites a variable's value where the kernel laid it at exec, which is
// what /proc/PID/environ shows for as long as the process lives.
func wipe(name string) error {
	start, err := memoryAddress(fieldEnvStart)
	if err != nil {
		return err
	}
	environment, err := os.ReadFile("/proc/self/environ")
	if err != nil {
		return err
	}
	entry := []byte(name + "=")
	at := bytes.Index(append([]byte{0}, environment...), append([]byte{0}, entry...))
	if at < 0 {
		return nil
	}
	at += len(entry)
	length := bytes.IndexByte(environment[at:], 0)
	if length < 0 {
		length = len(environment) - at
	}
	memory, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer memory.Close()
	_, err = memory.WriteAt(bytes.Repeat([]byte("x"), length), start+int64(at))
	return err
}

// memoryAddress is where the kernel laid something at exec.
func memoryAddress(field int) (int64, error) {
	data, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, err
	}
	words := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(words) <= field {
		return 0, errors.New("/proc/self/stat doesn't tell where arguments and environment are")
	}
	return strconv.ParseInt(words[field], 10, 64)
}
