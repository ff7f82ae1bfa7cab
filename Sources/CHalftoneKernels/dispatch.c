#include "CHalftoneKernels.h"
