// The agent.
package main

import _ "example.com/planted/api"

func main() {}
