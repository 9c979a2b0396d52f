package nft

// Parse reads a text. Where there are mistakes it gives as much as it could
// read, and all of them.
func Parse(text string) (*File, Errors) {
	panic("to be written")
}
