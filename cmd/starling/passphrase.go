package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

const passphraseVariable = "STARLING_PASSPHRASE_FILE"

// passphraseFlag adds the one way besides the prompt and the environment. There
// is no flag for the passphrase itself: other users could read it in the list of
// processes, and the shell would remember it.
func passphraseFlag(cmd *cobra.Command) {
	cmd.Flags().String("passphrase-file", "", "file whose first line is the passphrase (also by "+passphraseVariable+"); without it, a prompt")
}

// passphrase reads a passphrase from the file that is named, or asks for it.
// With again it asks twice, as for a new account.
func (a *app) passphrase(cmd *cobra.Command, account string, again bool) ([]byte, error) {
	path, err := cmd.Flags().GetString("passphrase-file")
	if err != nil {
		return nil, err
	}
	if path == "" {
		path = a.getenv(passphraseVariable)
	}
	if path != "" {
		return readPassphrase(path)
	}
	in, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, usage("there is no terminal to ask for the passphrase of %s: name a file that holds it with --passphrase-file or %s", account, passphraseVariable)
	}
	first, err := a.prompt(cmd, in, "Passphrase of "+account+": ")
	if err != nil || !again {
		return first, err
	}
	second, err := a.prompt(cmd, in, "The same again: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, errors.New("the two passphrases differ; nothing was written")
	}
	return first, nil
}

func readPassphrase(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read passphrase: %w", err)
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, 4096)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read passphrase: %w", err)
	}
	if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
		return nil, fmt.Errorf("passphrase file %s: its first line is empty", path)
	}
	return line, nil
}

// prompt asks without echo. Ctrl-C must give the terminal its echo back.
func (a *app) prompt(cmd *cobra.Command, in *os.File, question string) ([]byte, error) {
	fd := int(in.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("ask for passphrase: %w", err)
	}
	type answer struct {
		line []byte
		err  error
	}
	got := make(chan answer, 1)
	fmt.Fprint(a.stderr, question)
	// A read from a terminal cannot be cancelled: on Ctrl-C the goroutine stays
	// until the process ends, which is at once.
	go func() {
		line, err := term.ReadPassword(fd)
		got <- answer{line, err}
	}()
	select {
	case <-cmd.Context().Done():
		_ = term.Restore(fd, state)
		fmt.Fprintln(a.stderr)
		return nil, errInterrupted
	case r := <-got:
		fmt.Fprintln(a.stderr)
		if r.err != nil {
			return nil, fmt.Errorf("ask for passphrase: %w", r.err)
		}
		return r.line, nil
	}
}
