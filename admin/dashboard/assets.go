package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed assets
var assetFiles embed.FS

const assetsPath = home + "/assets/"

// assets are the files that pages load. The URL of each has the hash of its content,
// so that a browser may keep it for ever and never has an old one.
type assets struct {
	hashed  map[string]string // by the file's name, as in weir.css: weir.HASH.css
	content map[string][]byte // by the name with the hash
}

// sharedScript is imported by the scripts of pages, by its name.
const sharedScript = "weir.js"

// readAssets reads the embedded files, which are always there.
func readAssets() *assets {
	a := &assets{hashed: map[string]string{}, content: map[string][]byte{}}
	names, _ := fs.Glob(assetFiles, "assets/*")
	a.read("assets/" + sharedScript)
	for _, name := range names {
		a.read(name)
	}
	return a
}

func (a *assets) read(file string) {
	name := path.Base(file)
	content, _ := assetFiles.ReadFile(file)
	if name != sharedScript {
		content = bytes.ReplaceAll(content, []byte(`"./`+sharedScript+`"`), []byte(`"./`+a.hashed[sharedScript]+`"`))
	}
	hash := sha256.Sum256(content)
	extension := path.Ext(name)
	a.hashed[name] = strings.TrimSuffix(name, extension) + "." + hex.EncodeToString(hash[:8]) + extension
	a.content[a.hashed[name]] = content
}

// url is where a file is, empty if there is none of that name.
func (a *assets) url(name string) string {
	if hashed, known := a.hashed[name]; known {
		return assetsPath + hashed
	}
	return ""
}

// ServeHTTP implements [http.Handler].
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	content, known := a.content[name]
	if !known {
		http.Error(w, "there is no such file in this version of weir: load the page again", http.StatusNotFound)
		return
	}
	contentType := mime.TypeByExtension(path.Ext(name))
	if contentType == "" || path.Ext(name) == ".LICENSE" {
		contentType = "text/plain; charset=utf-8"
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content) // a caller who has left needs no file
}
