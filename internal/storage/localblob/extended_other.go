//go:build !linux && !darwin

package localblob

import (
	"errors"
	"os"
)

func setAttribute(*os.File, []byte) error { return errors.ErrUnsupported }

func getAttribute(*os.File) ([]byte, error) { return nil, nil }
