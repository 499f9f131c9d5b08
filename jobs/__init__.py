"""The contract that gateway and worker share: schemas, errors, store, artifacts, queue, settings. No torch."""
