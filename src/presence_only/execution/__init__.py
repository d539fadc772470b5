"""Independent pieces of work side by side: in processes of this machine, on a Ray cluster, or as Slurm jobs."""
