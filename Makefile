# Starling. Bare `make` lists the targets.
.DEFAULT_GOAL := help
GO        ?= go
BIN       := bin
LINT      := $(BIN)/golangci-lint
FUMPT     := $(BIN)/gofumpt
FUZZTIME  ?= 1m
NODES     ?= 4
SEED      ?= 1
SCHEDULES ?= 10000
KILLS     ?= 50
# The race detector needs cgo and a C compiler; without one the tests run all the same.
CC        ?= cc
RACE      := $(shell command -v $(CC) >/dev/null 2>&1 && [ "$$($(GO) env CGO_ENABLED)" = 1 ] && echo -race)
# Packages with goroutines, tested with the race detector. Pure packages are not
# slowed down by it.
CONCURRENT := ./chain/confidential ./chain/consensus/... ./chain/exec/... ./chain/journal/... ./chain/mempool/... ./chain/state/... \
              ./chain/store/... ./chain/sync/... ./net/... ./dht ./dht/matrix ./dht/store/driver ./node/... ./turbine/driver ./turbine/parcel
PURE       := $(shell $(GO) list ./... 2>/dev/null | grep -v -E '/(chain/(confidential|consensus|exec|journal|mempool|state|store|sync)|net|node|turbine/(driver|parcel))(/|$$)|/dht$$|/dht/(matrix|store/driver)$$')

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/starling
	$(GO) build -trimpath -o $(BIN)/starling ./cmd/starling

.PHONY: install
install: ## install starling into $GOBIN
	$(GO) install -trimpath ./cmd/starling

.PHONY: testnet
testnet: build ## run a local network of NODES validators until Ctrl-C
	$(BIN)/starling testnet up --nodes $(NODES)

.PHONY: test
test: ## run all tests, with the race detector where packages are concurrent
	$(GO) test $(RACE) -timeout 10m $(CONCURRENT)
	$(GO) test -timeout 10m $(PURE)

.PHONY: sim
sim: ## run SCHEDULES random schedules of the consensus simulator from SEED
	$(GO) test ./testnet/sim -run TestRandomSchedules -v -timeout 30m -schedules $(SCHEDULES) -seed $(SEED)

.PHONY: search
search: ## search SCHEDULES Twins scenarios, lies, bad networks and crashes from SEED for a broken law
	GOGC=400 $(GO) test ./testnet/sim/search -run 'TestDirected|TestWhatWasFound|TestNoSchedule' -v -timeout 60m -schedules $(SCHEDULES) -seed $(SEED)

.PHONY: mutants
mutants: ## check that the search finds every broken variant of the consensus core
	$(GO) test ./testnet/sim/mutants -v -timeout 30m -all

.PHONY: model
model: ## check the formal model of the voting and locking rules with spin
	chain/consensus/hotstuff/model/check

.PHONY: lanes-plot
lanes-plot: ## measure lanes against single leaders in the simulator (a minute), and draw docs/lanes.svg
	$(GO) test ./testnet/sim/throughput -run TestSweep -timeout 30m -sweep $(CURDIR)/docs/lanes.csv
	cd tools && $(GO) run ./plot -what lanes < ../docs/lanes.csv > ../docs/lanes.svg

.PHONY: hops-plot
hops-plot: ## measure lookups in simulated rings of 16 to 4096 members (minutes), and draw docs/hops.svg
	$(GO) test ./testnet/sim/dhtsim -run TestHops -timeout 60m -hops $(CURDIR)/docs/hops.csv
	cd tools && $(GO) run ./plot -what hops < ../docs/hops.csv > ../docs/hops.svg

.PHONY: churn
churn: ## simulate a day of a DHT of 1000 members, half of them replaced every ten minutes (takes hours), from SEED
	GOGC=800 $(GO) test ./testnet/sim/dhtsim -run Churn -v -timeout 5h -churn 24h -members 1000 -records 10000 -seed $(SEED)

.PHONY: data
data: build ## read and write DHT records in a network of 24 processes, kill a third in the middle, from SEED, and check that nothing is lost
	$(BIN)/starling testnet data --seed $(SEED)

.PHONY: chaos
chaos: build ## kill -9 validators KILLS times under load, from SEED, and check that nothing is lost
	$(BIN)/starling testnet chaos --kills $(KILLS) --seed $(SEED)

.PHONY: bench
bench: ## run the benchmarks (figures and their meaning: docs/BENCHMARKS.md)
	$(GO) test -run '^$$' -bench . -benchtime 2s ./crypto/... ./chain/... ./net/... ./testnet/sim
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 20m ./testnet ./dht/store/driver

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; \
	done

.PHONY: lint
lint: $(LINT) $(FUMPT) ## check formatting, vet, and the linters of .golangci.yml
	@unformatted=$$($(FUMPT) -l $$(git ls-files -co --exclude-standard '*.go')); \
	  if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(LINT) run ./...

.PHONY: fmt
fmt: $(FUMPT) ## format all Go files
	$(FUMPT) -w $$(git ls-files -co --exclude-standard '*.go')

.PHONY: cover
cover: ## write coverage.html
	$(GO) test -coverprofile coverage.out ./...
	$(GO) tool cover -html coverage.out -o coverage.html

.PHONY: clean
clean: ## remove what was built, and the default testnet's data
	rm -rf $(BIN) coverage.out coverage.html starling-testnet

# The linters are pinned in a module of their own, so that theirs never become
# dependencies of the program.
$(LINT): tools/go.sum
	cd tools && $(GO) build -o ../$(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(FUMPT): tools/go.sum
	cd tools && $(GO) build -o ../$(FUMPT) mvdan.cc/gofumpt
