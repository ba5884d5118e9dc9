# To be sourced: what is built takes half of the disk without what only debuggers and repeated builds need.
# All that the tests build has to be built with the same settings, or it is built twice.
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=none CARGO_PROFILE_DEV_STRIP=symbols
