using CrossAlign.Cli;
#if WITH_MANAGED_CUDA
CrossAlign.Runtime.Cuda.CudaBinding.Use(CrossAlign.Integrations.ManagedCuda.ManagedCudaBinding.Create());
#endif
#if WITH_IMAGE_SHARP
CrossAlign.Models.Images.ImageDecoder.Use(new CrossAlign.Integrations.ImageSharp.ImageSharpDecoder());
#endif

return await CommandLine.RunAsync(args, Console.Out, Console.Error).ConfigureAwait(false);
