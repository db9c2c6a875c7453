package install

import _ "embed"

//go:embed layout.sql
var Layout string
