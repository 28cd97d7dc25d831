package api

import (
	"strings"

	"github.com/danielgtaylor/huma/v2/validation"
)

// What huma finds wrong is told in the words of the other answers.
func init() {
	validation.MsgUnexpectedProperty = "unknown field"
	validation.MsgExpectedBoolean = "it is not true or false"
	validation.MsgExpectedNumber = "it is not a number"
	validation.MsgExpectedInteger = "it is not a whole number"
	validation.MsgExpectedString = "it is not a string"
	validation.MsgExpectedArray = "it is not a list"
	validation.MsgExpectedObject = "it is not an object"
	validation.MsgExpectedOneOf = `it may be one of "%s"`
	validation.MsgExpectedMinimumNumber = "it must be %v at least"
	validation.MsgExpectedMaximumNumber = "it may be %v at most"
	validation.MsgExpectedMinLength = "it must have %d characters at least"
	validation.MsgExpectedMaxLength = "it may have %d characters at most"
	validation.MsgExpectedMinItems = "it must have %d items at least"
	validation.MsgExpectedMaxItems = "it may have %d items at most"
	validation.MsgExpectedMaxProperties = "it may have %d fields at most"
	validation.MsgExpectedRequiredProperty = "the field %s is needed"
}

// told are other messages of huma's, and what is said instead.
var told = map[string]string{
	"invalid integer":              "it is not a whole number",
	"invalid boolean":              "it is not true or false",
	"request body is required":     "a body is needed",
	"unexpected end of JSON input": "it is not JSON: it ends too early",
}

// inOurWords is what is said for a message of huma's.
func inOurWords(message string) string {
	if ours, ok := told[message]; ok {
		return ours
	}
	if strings.HasPrefix(message, "invalid character ") { // of JSON
		return "it is not JSON: " + message
	}
	return message
}
