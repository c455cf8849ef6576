using CrossAlign.Cli;
#if WITH_MANAGED_CUDA
CrossAlign.Runtime.Cuda.CudaBinding.Use(CrossAlign.Integrations.ManagedCuda.ManagedCudaBinding.Create());
#endif

return await CommandLine.RunAsync(args, Console.Out, Console.Error).ConfigureAwait(false);
