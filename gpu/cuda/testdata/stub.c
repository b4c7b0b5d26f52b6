/*
 * A libcuda that keeps device memory in the process and knows one kernel, copy.
 * It is here for its signatures: what it is called with must be what it gets. With
 * cuda.h at hand, cc -DWITH_CUDA_H -fsyntax-only stub.c holds them against it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef WITH_CUDA_H
#include <cuda.h>
#else
typedef int CUresult;
typedef int CUdevice;
typedef int CUdevice_attribute;
typedef int CUjit_option;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
#if defined(_WIN64) || defined(__LP64__)
typedef unsigned long long CUdeviceptr;
#else
typedef unsigned int CUdeviceptr;
#endif
#define CUDA_SUCCESS 0
#define CUDA_ERROR_INVALID_VALUE 1
#define CUDA_ERROR_NO_BINARY_FOR_GPU 209
#define CU_JIT_ERROR_LOG_BUFFER 5
#define CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES 6
#define CUDAAPI
#define cuDeviceTotalMem cuDeviceTotalMem_v2
#define cuDevicePrimaryCtxRelease cuDevicePrimaryCtxRelease_v2
#define cuMemGetInfo cuMemGetInfo_v2
#define cuMemAlloc cuMemAlloc_v2
#define cuMemFree cuMemFree_v2
#define cuStreamDestroy cuStreamDestroy_v2
#define cuEventDestroy cuEventDestroy_v2
#define cuMemcpyHtoDAsync cuMemcpyHtoDAsync_v2
#define cuMemcpyDtoHAsync cuMemcpyDtoHAsync_v2
#endif

#define NEED(x) if (!(x)) return CUDA_ERROR_INVALID_VALUE
#define CONTEXT ((CUcontext)0x1122334455667788)
#define STREAM ((CUstream)0x2233445566778811)
#define EVENT ((CUevent)0x3344556677881122)
#define MODULE ((CUmodule)0x4455667788112233)

CUresult CUDAAPI cuInit(unsigned int flags) { NEED(flags == 0); return CUDA_SUCCESS; }
CUresult CUDAAPI cuDriverGetVersion(int *version) { *version = 12020; return CUDA_SUCCESS; }
CUresult CUDAAPI cuGetErrorName(CUresult code, const char **name) {
  NEED(code == CUDA_ERROR_INVALID_VALUE || code == CUDA_ERROR_NO_BINARY_FOR_GPU);
  *name = code == CUDA_ERROR_INVALID_VALUE ? "CUDA_ERROR_INVALID_VALUE" : "CUDA_ERROR_NO_BINARY_FOR_GPU";
  return CUDA_SUCCESS;
}
CUresult CUDAAPI cuDeviceGetCount(int *n) { *n = 2; return CUDA_SUCCESS; }
CUresult CUDAAPI cuDeviceGet(CUdevice *d, int ordinal) { *d = 40 + ordinal; return CUDA_SUCCESS; }
CUresult CUDAAPI cuDeviceGetName(char *name, int n, CUdevice d) {
  NEED(d >= 40 && n == 255);
  strcpy(name, "Stub");
  return CUDA_SUCCESS;
}
CUresult CUDAAPI cuDeviceTotalMem(size_t *n, CUdevice d) { NEED(d >= 40); *n = (size_t)80 << 30; return CUDA_SUCCESS; }
CUresult CUDAAPI cuDeviceGetAttribute(int *v, CUdevice_attribute what, CUdevice d) {
  NEED(d >= 40);
  *v = (int)what == 75 ? (d == 40 ? 9 : 5) : (int)what == 76 ? 0 : (int)what == 20 ? 0 : 132;
  return CUDA_SUCCESS;
}
CUresult CUDAAPI cuDevicePrimaryCtxRetain(CUcontext *c, CUdevice d) { NEED(d == 40); *c = CONTEXT; return CUDA_SUCCESS; }
CUresult CUDAAPI cuDevicePrimaryCtxRelease(CUdevice d) { NEED(d == 40); return CUDA_SUCCESS; }
CUresult CUDAAPI cuCtxSetCurrent(CUcontext c) { NEED(c == CONTEXT); return CUDA_SUCCESS; }
CUresult CUDAAPI cuMemGetInfo(size_t *avail, size_t *total) {
  *avail = (size_t)79 << 30;
  *total = (size_t)80 << 30;
  return CUDA_SUCCESS;
}
CUresult CUDAAPI cuModuleLoadDataEx(CUmodule *m, const void *image, unsigned int n, CUjit_option *options, void **values) {
  NEED(n == 2 && options[0] == CU_JIT_ERROR_LOG_BUFFER && options[1] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
  if (getenv("STUB_BAD_IMAGE")) {
    strncpy((char *)values[0], "ptxas fatal: not on a stub", (size_t)values[1]);
    return CUDA_ERROR_NO_BINARY_FOR_GPU;
  }
  NEED(strstr((const char *)image, ".entry copy(") && image != 0);
  *m = MODULE;
  return CUDA_SUCCESS;
}
CUresult CUDAAPI cuModuleUnload(CUmodule m) { NEED(m == MODULE); return CUDA_SUCCESS; }
CUresult CUDAAPI cuModuleGetFunction(CUfunction *f, CUmodule m, const char *name) {
  NEED(m == MODULE);
  *f = (CUfunction)(uintptr_t)(strcmp(name, "copy") == 0 ? 77 : 78);
  return CUDA_SUCCESS;
}
CUresult CUDAAPI cuMemAlloc(CUdeviceptr *p, size_t n) { *p = (CUdeviceptr)(uintptr_t)malloc(n); return CUDA_SUCCESS; }
CUresult CUDAAPI cuMemFree(CUdeviceptr p) { free((void *)(uintptr_t)p); return CUDA_SUCCESS; }
CUresult CUDAAPI cuMemHostAlloc(void **p, size_t n, unsigned int flags) { NEED(flags == 1); *p = malloc(n); return CUDA_SUCCESS; }
CUresult CUDAAPI cuMemFreeHost(void *p) { free(p); return CUDA_SUCCESS; }
CUresult CUDAAPI cuStreamCreate(CUstream *s, unsigned int flags) { NEED(flags == 1); *s = STREAM; return CUDA_SUCCESS; }
CUresult CUDAAPI cuStreamSynchronize(CUstream s) { NEED(s == STREAM); return CUDA_SUCCESS; }
CUresult CUDAAPI cuStreamDestroy(CUstream s) { NEED(s == STREAM); return CUDA_SUCCESS; }
CUresult CUDAAPI cuMemcpyHtoDAsync(CUdeviceptr dst, const void *src, size_t n, CUstream s) {
  NEED(s == STREAM);
  memcpy((void *)(uintptr_t)dst, src, n);
  return CUDA_SUCCESS;
}
CUresult CUDAAPI cuMemcpyDtoHAsync(void *dst, CUdeviceptr src, size_t n, CUstream s) {
  NEED(s == STREAM);
  memcpy(dst, (void *)(uintptr_t)src, n);
  return CUDA_SUCCESS;
}
CUresult CUDAAPI cuLaunchKernel(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx,
                                unsigned int by, unsigned int bz, unsigned int shared, CUstream s, void **args, void **extra) {
  NEED(f == (CUfunction)(uintptr_t)77 && gy == 1 && gz == 1 && bx == 256 && by == 1 && bz == 1 && shared == 0);
  NEED(s == STREAM && extra == 0);
  unsigned int n = *(unsigned int *)args[2];
  NEED(gx == (n + 255) / 256);
  memcpy((void *)(uintptr_t) * (CUdeviceptr *)args[1], (void *)(uintptr_t) * (CUdeviceptr *)args[0], 16 * (size_t)n);
  return CUDA_SUCCESS;
}
CUresult CUDAAPI cuEventCreate(CUevent *e, unsigned int flags) { NEED(flags == 3); *e = EVENT; return CUDA_SUCCESS; }
CUresult CUDAAPI cuEventRecord(CUevent e, CUstream s) { NEED(e == EVENT && s == STREAM); return CUDA_SUCCESS; }
CUresult CUDAAPI cuEventSynchronize(CUevent e) { NEED(e == EVENT); return CUDA_SUCCESS; }
CUresult CUDAAPI cuEventDestroy(CUevent e) { NEED(e == EVENT); return CUDA_SUCCESS; }
