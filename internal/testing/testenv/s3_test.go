package testenv

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

func TestS3_AnswersNobodyWhoHasNotSigned(t *testing.T) {
	s := S3(t)
	if err := os.WriteFile(filepath.Join(s.Folder, s.Bucket, "a"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/" + s.Bucket, "/" + s.Bucket + "/a"} {
		got, err := http.Get("http://" + s.Host + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = got.Body.Close()
		if got.StatusCode != http.StatusForbidden {
			t.Errorf("%s is answered %d", path, got.StatusCode)
		}
	}
}

func TestS3_EachTestHasAServerOfItsOwnAndItEndsWithTheTest(t *testing.T) {
	var first *S3Server
	t.Run("the first", func(t *testing.T) {
		first = S3(t)
		if second := S3(t); second.Host == first.Host || second.SecretKey == first.SecretKey || second.Folder == first.Folder {
			t.Errorf("two servers share a host, secret or folder: %+v, %+v", first, second)
		}
	})
	if first.healthy(t.Context()) {
		t.Error("it is still there")
	}
}
