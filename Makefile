# Everything here needs Go 1.24 or newer, make and git; `make test` installs the
# rest on Debian and Ubuntu.

# TESTFLAGS are further flags of go test, such as -v or -run NAME.
TESTFLAGS ?=
# FLOOR is the C program that the benchmark compares with.
FLOOR ?= e2e/bench/floor/floor.c
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.1.4

.DEFAULT_GOAL := help
.PHONY: help build test e2e reliability lint vuln fmt bench demo tools clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/nslab, one static program
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o bin/nslab ./cmd/nslab

tools:
	@scripts/install-test-tools

test: tools ## install what the tests need, then run them all, with the race detector
	go vet ./...
	CGO_ENABLED=1 go test -race -p 1 -timeout 30m $(TESTFLAGS) ./...

e2e: tools ## run only the tests of the built program
	go test -count=1 -timeout 30m $(TESTFLAGS) ./e2e/...

reliability: tools ## try all that docs/reliability.md promises, and print its figures
	go test -count=1 -timeout 60m -run TestReliability -v $(TESTFLAGS) ./e2e -full
	go test -count=1 -timeout 60m -run TestProgram/mutants -v $(TESTFLAGS) ./e2e -mutants.all

lint: ## check format, go vet and staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then \
		echo "make fmt would change:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go run $(STATICCHECK) ./...

vuln: ## hold the code against the Go vulnerability database (over the network)
	go run $(GOVULNCHECK) ./...

fmt: ## format the code
	gofmt -w .

bench: build tools ## compare with the least work that can do the same, and with nft
	go run ./e2e/bench -nslab bin/nslab -floor $(FLOOR)

demo: build ## make the quickstart lab, test it, take it down
	@scripts/demo bin/nslab

clean: ## remove what was built
	rm -rf bin
