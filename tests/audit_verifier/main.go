// An independent verifier of the audit log's exports and receipts. It shares no code with the program: notes are read by
// golang.org/x/mod/sumdb/note, hashes and proofs are those of github.com/transparency-dev/merkle.
//
//	audit-verifier KEY EXPORT [RECEIPT...]
//	audit-verifier vectors
//
// The first ends with 0 and a line that begins with "verified", or with 1 and the reason.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

type checkpoint struct {
	origin string
	size   uint64
	root   []byte
}

type receipt struct {
	Format     string
	Checkpoint string
	Older      string
	Newer      string
	Proof      []string
	Entries    []struct {
		Position uint64
		LeafHash string
		Entry    string
		Proof    []string
	}
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "vectors" {
		if err := printVectors(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: audit-verifier KEY EXPORT [RECEIPT...]")
		os.Exit(2)
	}
	verifier, err := note.NewVerifier(os.Args[1])
	if err == nil {
		err = verify(verifier, os.Args[2], os.Args[3:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func verify(key note.Verifier, folder string, receipts []string) error {
	signed, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return err
	}
	newest, err := open(signed, key)
	if err != nil {
		return err
	}
	others, err := checkpoints(folder, key)
	if err != nil {
		return err
	}
	roots, size, err := rootsOf(folder)
	if err != nil {
		return err
	}
	if size != newest.size {
		return fmt.Errorf("%d entries, and %d were signed", size, newest.size)
	}
	for _, one := range append(others, newest) {
		if one.size > size || !bytes.Equal(roots[one.size], one.root) {
			return fmt.Errorf("the tree over %d entries has another root", one.size)
		}
	}
	for _, file := range receipts {
		if err := verifyReceipt(file, key); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
	}
	fmt.Printf("verified %d entries, %d checkpoints, %d receipts\n", size, len(others), len(receipts))
	return nil
}

// rootsOf returns the root of the tree at every size, by the entries, whose hashes have to be those of leaves.txt.
func rootsOf(folder string) (map[uint64][]byte, uint64, error) {
	entries, err := lines(filepath.Join(folder, "entries.jsonl"))
	if err != nil {
		return nil, 0, err
	}
	leaves, err := lines(filepath.Join(folder, "leaves.txt"))
	if err != nil {
		return nil, 0, err
	}
	if len(entries) != len(leaves) {
		return nil, 0, fmt.Errorf("%d entries and %d leaves", len(entries), len(leaves))
	}
	factory := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	tree := factory.NewEmptyRange(0)
	roots := map[uint64][]byte{}
	for at, entry := range entries {
		leaf := rfc6962.DefaultHasher.HashLeaf(entry)
		if hex.EncodeToString(leaf) != string(leaves[at]) {
			return nil, 0, fmt.Errorf("entry %d has another hash", at)
		}
		if err := tree.Append(leaf, nil); err != nil {
			return nil, 0, err
		}
		if roots[tree.End()], err = tree.GetRootHash(nil); err != nil {
			return nil, 0, err
		}
	}
	return roots, uint64(len(entries)), nil
}

func checkpoints(folder string, key note.Verifier) ([]checkpoint, error) {
	found, err := lines(filepath.Join(folder, "checkpoints.jsonl"))
	if err != nil {
		return nil, err
	}
	var opened []checkpoint
	for _, line := range found {
		var document struct{ Note string }
		if err := json.Unmarshal(line, &document); err != nil {
			return nil, err
		}
		one, err := open([]byte(document.Note), key)
		if err != nil {
			return nil, err
		}
		opened = append(opened, one)
	}
	return opened, nil
}

func verifyReceipt(file string, key note.Verifier) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var document receipt
	if err := json.Unmarshal(content, &document); err != nil {
		return err
	}
	if strings.Contains(document.Format, "consistency") {
		return verifyConsistency(document, key)
	}
	head, err := open([]byte(document.Checkpoint), key)
	if err != nil {
		return err
	}
	for _, entry := range document.Entries {
		path, err := hashes(entry.Proof)
		if err != nil {
			return err
		}
		leaf := rfc6962.DefaultHasher.HashLeaf([]byte(entry.Entry))
		if hex.EncodeToString(leaf) != entry.LeafHash {
			return fmt.Errorf("entry %d has another hash", entry.Position)
		}
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, entry.Position, head.size, leaf, path, head.root); err != nil {
			return fmt.Errorf("entry %d: %w", entry.Position, err)
		}
	}
	return nil
}

func verifyConsistency(document receipt, key note.Verifier) error {
	older, err := open([]byte(document.Older), key)
	if err != nil {
		return err
	}
	newer, err := open([]byte(document.Newer), key)
	if err != nil {
		return err
	}
	path, err := hashes(document.Proof)
	if err != nil {
		return err
	}
	return proof.VerifyConsistency(rfc6962.DefaultHasher, older.size, newer.size, path, older.root, newer.root)
}

func open(signed []byte, key note.Verifier) (checkpoint, error) {
	opened, err := note.Open(signed, note.VerifierList(key))
	if err != nil {
		return checkpoint{}, err
	}
	parts := strings.Split(opened.Text, "\n")
	if len(parts) < 4 || parts[0] != key.Name() {
		return checkpoint{}, errors.New("that note is no checkpoint of this log")
	}
	size, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return checkpoint{}, err
	}
	root, err := base64.StdEncoding.DecodeString(parts[2])
	return checkpoint{parts[0], size, root}, err
}

func hashes(texts []string) ([][]byte, error) {
	found := make([][]byte, 0, len(texts))
	for _, text := range texts {
		hash, err := hex.DecodeString(text)
		if err != nil {
			return nil, err
		}
		found = append(found, hash)
	}
	return found, nil
}

func lines(file string) ([][]byte, error) {
	opened, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	reader := bufio.NewReader(opened)
	var found [][]byte
	for {
		line, err := reader.ReadBytes('\n')
		if len(line) > 0 {
			found = append(found, bytes.TrimSuffix(line, []byte("\n")))
		}
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
