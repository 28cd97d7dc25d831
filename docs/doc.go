// Package docs is the folder of the project's pages. Its tests hold the code to
// what the pages say: docs/house.md to every package, the generated pages to
// what they are generated from.
package docs
