package api

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed docs
var docs embed.FS

// docsHandler serves the page that shows openapi.json to people. It loads
// nothing from elsewhere.
func docsHandler() http.Handler {
	sub, err := fs.Sub(docs, "docs")
	if err != nil {
		return http.NotFoundHandler() // cannot happen: the folder is embedded
	}
	return http.StripPrefix("/docs/", http.FileServerFS(sub))
}
