package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"
)

const largestTree = 70

type proven struct {
	Older uint64   `json:"older"`
	Newer uint64   `json:"newer"`
	Proof []string `json:"proof"`
}

type vectors struct {
	Leaves      []string `json:"leaves"`
	Roots       []string `json:"roots"`
	Inclusion   []proven `json:"inclusion"`
	Consistency []proven `json:"consistency"`
}

// printVectors writes what the library's own reference tree says of the library's own test leaves, and of more of them:
// the root at every size, and every proof. In a proof of inclusion `older` is the leaf's index.
func printVectors() error {
	tree := testonly.New(rfc6962.DefaultHasher)
	var told vectors
	for at := uint64(0); at < largestTree; at++ {
		leaf := []byte(fmt.Sprintf("leaf %d", at))
		if inputs := testonly.LeafInputs(); at < uint64(len(inputs)) {
			leaf = inputs[at]
		}
		tree.AppendData(leaf)
		told.Leaves = append(told.Leaves, hex.EncodeToString(leaf))
		told.Roots = append(told.Roots, hex.EncodeToString(tree.Hash()))
	}
	for size := uint64(1); size <= largestTree; size++ {
		for older := uint64(0); older < size; older++ {
			path, err := tree.InclusionProof(older, size)
			if err != nil {
				return err
			}
			told.Inclusion = append(told.Inclusion, proven{older, size, asHex(path)})
			if older == 0 {
				continue
			}
			if path, err = tree.ConsistencyProof(older, size); err != nil {
				return err
			}
			told.Consistency = append(told.Consistency, proven{older, size, asHex(path)})
		}
	}
	return json.NewEncoder(os.Stdout).Encode(told)
}

func asHex(hashes [][]byte) []string {
	texts := make([]string, 0, len(hashes))
	for _, hash := range hashes {
		texts = append(texts, hex.EncodeToString(hash))
	}
	return texts
}
