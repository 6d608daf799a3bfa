//go:build !linux && !darwin

package localblob

import (
	"errors"
	"os"
)

func setExtended(*os.File, []byte) error { return errors.ErrUnsupported }

func extended(*os.File) ([]byte, error) { return nil, nil }
