// Package web reads folders behind a web server, https://host/path, and is what other
// stores speak HTTP with: [Client] judges answers, follows redirects without taking
// credentials to another host, and keeps secrets out of errors.
//
// A web server has no listing that all agree on. Where it shows one (the pages of
// nginx, Apache and others), its names are the folder's; else the folder has the files
// that the index of the weights names and those of a table of known names that are
// there (known.go). Sub-folders are not looked into.
package web
