module @attention {
  func.func public @main(%q: tensor<4x6xf32>, %k: tensor<4x6xf32>, %v: tensor<4x6xf32>, %mask: tensor<4x4xi1>) -> (tensor<f64>, tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>) {
    %attention = stablehlo.transpose %k, dims = [1, 0] : (tensor<4x6xf32>) -> tensor<6x4xf32>
    %attention_0 = stablehlo.dot_general %q, %attention, contracting_dims = [1] x [0], precision = [HIGHEST, HIGHEST] : (tensor<4x6xf32>, tensor<6x4xf32>) -> tensor<4x4xf32>
    %attention_1 = stablehlo.convert %attention_0 : (tensor<4x4xf32>) -> tensor<4x4xf64>
    %attention_2 = stablehlo.constant dense<2.4494897427831779> : tensor<4x4xf64>
    %attention_3 = stablehlo.divide %attention_1, %attention_2 : tensor<4x4xf64>
    %attention_4 = stablehlo.constant dense<-1.000000e+09> : tensor<4x4xf64>
    %attention_5 = stablehlo.select %mask, %attention_3, %attention_4 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_6 = stablehlo.constant dense<0xFFF0000000000000> : tensor<f64>
    %attention_7 = stablehlo.reduce(%attention_5 init: %attention_6) applies stablehlo.maximum across dimensions = [1] : (tensor<4x4xf64>, tensor<f64>) -> tensor<4xf64>
    %attention_8 = stablehlo.reshape %attention_7 : (tensor<4xf64>) -> tensor<4x1xf64>
    %attention_9 = stablehlo.broadcast_in_dim %attention_8, dims = [0, 1] : (tensor<4x1xf64>) -> tensor<4x4xf64>
    %attention_10 = stablehlo.subtract %attention_5, %attention_9 : tensor<4x4xf64>
    %attention_11 = stablehlo.exponential %attention_10 : tensor<4x4xf64>
    %attention_12 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_13 = stablehlo.reduce(%attention_11 init: %attention_12) applies stablehlo.add across dimensions = [1] : (tensor<4x4xf64>, tensor<f64>) -> tensor<4xf64>
    %attention_14 = stablehlo.reshape %attention_13 : (tensor<4xf64>) -> tensor<4x1xf64>
    %attention_15 = stablehlo.broadcast_in_dim %attention_14, dims = [0, 1] : (tensor<4x1xf64>) -> tensor<4x4xf64>
    %attention_16 = stablehlo.divide %attention_11, %attention_15 : tensor<4x4xf64>
    %attention_17 = stablehlo.convert %v : (tensor<4x6xf32>) -> tensor<4x6xf64>
    %attention_18 = stablehlo.dot_general %attention_16, %attention_17, contracting_dims = [1] x [0], precision = [HIGHEST, HIGHEST] : (tensor<4x4xf64>, tensor<4x6xf64>) -> tensor<4x6xf64>
    %attention_19 = stablehlo.slice %attention_18 [1:4, 0:5:2] : (tensor<4x6xf64>) -> tensor<3x3xf64>
    %attention_20 = stablehlo.multiply %attention_19, %attention_19 : tensor<3x3xf64>
    %attention_21 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_22 = stablehlo.reduce(%attention_20 init: %attention_21) applies stablehlo.add across dimensions = [0, 1] : (tensor<3x3xf64>, tensor<f64>) -> tensor<f64>
    %attention_23 = stablehlo.constant dense<9.000000e+00> : tensor<f64>
    %attention_24 = stablehlo.divide %attention_22, %attention_23 : tensor<f64>
    %attention_25 = stablehlo.constant dense<0.1111111111111111> : tensor<3x3xf64>
    %attention_26 = stablehlo.multiply %attention_25, %attention_19 : tensor<3x3xf64>
    %attention_27 = stablehlo.add %attention_26, %attention_26 : tensor<3x3xf64>
    %attention_28 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_29 = stablehlo.pad %attention_27, %attention_28, low = [1, 0], high = [0, 1], interior = [0, 1] : (tensor<3x3xf64>, tensor<f64>) -> tensor<4x6xf64>
    %attention_30 = stablehlo.dot_general %attention_29, %attention_17, contracting_dims = [1] x [1], precision = [HIGHEST, HIGHEST] : (tensor<4x6xf64>, tensor<4x6xf64>) -> tensor<4x4xf64>
    %attention_31 = stablehlo.dot_general %attention_16, %attention_29, contracting_dims = [0] x [0], precision = [HIGHEST, HIGHEST] : (tensor<4x4xf64>, tensor<4x6xf64>) -> tensor<4x6xf64>
    %attention_32 = stablehlo.convert %attention_31 : (tensor<4x6xf64>) -> tensor<4x6xf32>
    %attention_33 = stablehlo.constant dense<1.000000e+00> : tensor<4x4xf64>
    %attention_34 = stablehlo.divide %attention_33, %attention_15 : tensor<4x4xf64>
    %attention_35 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_36 = stablehlo.multiply %attention_30, %attention_34 : tensor<4x4xf64>
    %attention_37 = stablehlo.compare EQ, %attention_30, %attention_35, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_38 = stablehlo.select %attention_37, %attention_30, %attention_36 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_39 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_40 = stablehlo.multiply %attention_38, %attention_16 : tensor<4x4xf64>
    %attention_41 = stablehlo.compare EQ, %attention_38, %attention_39, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_42 = stablehlo.select %attention_41, %attention_38, %attention_40 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_43 = stablehlo.negate %attention_42 : tensor<4x4xf64>
    %attention_44 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_45 = stablehlo.reduce(%attention_43 init: %attention_44) applies stablehlo.add across dimensions = [1] : (tensor<4x4xf64>, tensor<f64>) -> tensor<4xf64>
    %attention_46 = stablehlo.broadcast_in_dim %attention_45, dims = [0] : (tensor<4xf64>) -> tensor<4x4xf64>
    %attention_47 = stablehlo.add %attention_38, %attention_46 : tensor<4x4xf64>
    %attention_48 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_49 = stablehlo.multiply %attention_47, %attention_11 : tensor<4x4xf64>
    %attention_50 = stablehlo.compare EQ, %attention_47, %attention_48, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_51 = stablehlo.select %attention_50, %attention_47, %attention_49 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_52 = stablehlo.negate %attention_51 : tensor<4x4xf64>
    %attention_53 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_54 = stablehlo.reduce(%attention_52 init: %attention_53) applies stablehlo.add across dimensions = [1] : (tensor<4x4xf64>, tensor<f64>) -> tensor<4xf64>
    %attention_55 = stablehlo.broadcast_in_dim %attention_7, dims = [0] : (tensor<4xf64>) -> tensor<4x4xf64>
    %attention_56 = stablehlo.compare LT, %attention_5, %attention_55, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_57 = stablehlo.not %attention_56 : tensor<4x4xi1>
    %attention_58 = stablehlo.convert %attention_57 : (tensor<4x4xi1>) -> tensor<4x4xf64>
    %attention_59 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %attention_60 = stablehlo.reduce(%attention_58 init: %attention_59) applies stablehlo.add across dimensions = [1] : (tensor<4x4xf64>, tensor<f64>) -> tensor<4xf64>
    %attention_61 = stablehlo.divide %attention_54, %attention_60 : tensor<4xf64>
    %attention_62 = stablehlo.broadcast_in_dim %attention_61, dims = [0] : (tensor<4xf64>) -> tensor<4x4xf64>
    %attention_63 = stablehlo.broadcast_in_dim %attention_7, dims = [0] : (tensor<4xf64>) -> tensor<4x4xf64>
    %attention_64 = stablehlo.compare LT, %attention_5, %attention_63, FLOAT : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xi1>
    %attention_65 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_66 = stablehlo.select %attention_64, %attention_65, %attention_62 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_67 = stablehlo.add %attention_51, %attention_66 : tensor<4x4xf64>
    %attention_68 = stablehlo.constant dense<0.000000e+00> : tensor<4x4xf64>
    %attention_69 = stablehlo.select %mask, %attention_67, %attention_68 : tensor<4x4xi1>, tensor<4x4xf64>
    %attention_70 = stablehlo.constant dense<0.40824829046386307> : tensor<4x4xf64>
    %attention_71 = stablehlo.multiply %attention_69, %attention_70 : tensor<4x4xf64>
    %attention_72 = stablehlo.convert %attention_71 : (tensor<4x4xf64>) -> tensor<4x4xf32>
    %attention_73 = stablehlo.dot_general %attention_72, %attention, contracting_dims = [1] x [1], precision = [HIGHEST, HIGHEST] : (tensor<4x4xf32>, tensor<6x4xf32>) -> tensor<4x6xf32>
    %attention_74 = stablehlo.dot_general %q, %attention_72, contracting_dims = [0] x [0], precision = [HIGHEST, HIGHEST] : (tensor<4x6xf32>, tensor<4x4xf32>) -> tensor<6x4xf32>
    %attention_75 = stablehlo.transpose %attention_74, dims = [1, 0] : (tensor<6x4xf32>) -> tensor<4x6xf32>
    return %attention_24, %attention_73, %attention_75, %attention_32 : tensor<f64>, tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>
  }
}
