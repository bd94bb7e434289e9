"""Prefect flows over the stages of dvc.yaml; deployments are in prefect.yaml."""
