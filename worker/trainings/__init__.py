"""Training methods: one module each, found by `worker.trainings._registry`. Pure, as `worker.methods` are."""
