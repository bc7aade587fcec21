package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/chain/light"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
	"github.com/starlingmesh/starling/node/wallet"
)

// Exit codes. They are part of the interface; scripts rely on them.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitRejected    = 4
	exitTimeout     = 5
	exitInterrupted = 130
)

var (
	errInterrupted = errors.New("interrupted")
	// errRefused marks a transaction that stands in a block without its effect.
	errRefused = errors.New("refused by the ledger")
)

// usageError is a mistake in the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// classify maps an error to its exit code and its word in JSON. It is the one
// place that does.
func classify(err error) (code int, word string) {
	var wrong *usageError
	var away *client.Unreachable
	var problem *api.Problem
	switch {
	case err == nil:
		return exitOK, ""
	case errors.As(err, &wrong):
		return exitUsage, "usage"
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted, "interrupted"
	case errors.As(err, &away):
		return exitUnreachable, "unreachable"
	case errors.Is(err, errRefused), errors.Is(err, wallet.ErrRefused):
		return exitRejected, "refused"
	case errors.Is(err, wallet.ErrName):
		return exitUsage, "usage"
	case errors.Is(err, wallet.ErrPassphrase):
		return exitFailure, "wrong_passphrase"
	case errors.Is(err, light.ErrProof):
		return exitFailure, "proof_invalid"
	case errors.Is(err, wallet.ErrNoAccount):
		return exitFailure, "no_account"
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimeout, "timeout"
	case errors.As(err, &problem):
		switch problem.Code {
		case api.CodeRejected, api.CodeMalformedTx:
			return exitRejected, problem.Code
		case api.CodeTimeout:
			return exitTimeout, problem.Code
		}
		return exitFailure, problem.Code
	default:
		return exitFailure, "failure"
	}
}

func exitCode(err error) int {
	code, _ := classify(err)
	return code
}

// report prints an error as one line that helps, or as an object for --json.
func (a *app) report(err error) {
	code, word := classify(err)
	switch {
	case code == exitOK:
	case a.json:
		line, _ := json.Marshal(map[string]any{"error": map[string]any{"code": word, "message": a.message(err), "exit": code}})
		fmt.Fprintln(a.stderr, string(line))
	case code == exitInterrupted:
		fmt.Fprintln(a.stderr, a.red(a.stderr, "interrupted"))
	default:
		fmt.Fprintln(a.stderr, a.red(a.stderr, "error:"), a.message(err))
	}
}

// message adds to an error what only the command line knows.
func (a *app) message(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("%v: no result within %s; --timeout waits longer", err, a.timeout)
	}
	return err.Error()
}

// cures tell what to do about what the ledger refused, by its code.
var cures = map[string]string{
	"underfunded":               "the account must keep the reserve, and cover the fee",
	"destination-below-reserve": "the first payment to an address must be at least the reserve",
	"no-validator":              "the account has nothing bonded; starling stake bond makes a validator",
	"validator-exists":          "add to the bond without keys, or change them with starling stake rotate",
	"bond-too-small":            "starling epoch shows the least bond",
	"keys-taken":                "another validator has, or had, this key or identity; make others in a new home with starling init --validator --home NEW",
	"too-many-stakers":          "the list of stakes is full; try again in a later epoch",
	"too-many-unbonding":        "wait until earlier coins arrive; starling stake show tells when",
	"not-jailed":                "there is nothing to end",
	"same-signers":              "the account has these signers already",
	"bad-key":                   "one of the keys cannot be one; starling wallet multi show tells an account's",
	"not-signer":                "starling wallet multi show NAME tells who signs for the account now",
	"still-jailed":              "starling stake show tells from which epoch on the jail can be ended",
}

// cure is how to go on after a refusal, as the end of a sentence.
func cure(code string) string {
	if text, ok := cures[code]; ok {
		return " (" + text + ")"
	}
	return ""
}
