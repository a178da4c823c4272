#include "context_fixture.h"
int main(void) { return 0; }
